"""Pages that load nothing and run nothing but our own scripts."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from medswin.figures import BANNER

_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
NIIVUE, LICENCE = "niivue.umd.js", "NIIVUE-LICENSE.txt"  # every copy carries its licence


def render(template: str, scripts: Sequence[Markup], style: Markup, **values: Any) -> str:
    """A page of a template; all values are escaped, and its policy allows these scripts and this style alone.

    Pictures may come from the page's own data; nothing may come from elsewhere.
    """
    environment = Environment(
        loader=PackageLoader("medswin.review"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=shown,
    )
    policy = _policy(style, scripts)
    return environment.get_template(template).render(
        banner=BANNER, policy=policy, scripts=scripts, style=style, **values
    )


def shown(value: Any) -> Any:
    """Text without signs that are not seen and turn what stands beside them: digits of a volume, say."""
    return _UNSEEN.sub("", value) if isinstance(value, str) and not isinstance(value, Markup) else value


def own_script(*names: str) -> Markup:
    """Files of ours that make one script, in a scope of its own."""
    return Markup('"use strict";\n(() => {\n{}})();').replace("{}", Markup("").join(map(_asset, names)), 1)


def own_style(*names: str) -> Markup:
    """Files of ours that make one style sheet."""
    return Markup("").join(map(_asset, names))


def niivue() -> list[Markup]:
    """NiiVue's code, where ``make viewer`` has fetched it; else nothing, and pages do without a 3D view."""
    folder = resources.files("medswin.review").joinpath("vendor")
    if not folder.joinpath(NIIVUE).is_file():
        return []
    licence, code = (folder.joinpath(name).read_text(encoding="utf-8") for name in (LICENCE, NIIVUE))
    return [Markup(f"/*\n{licence}*/\n{code}".replace("\r\n", "\n"))]


def _asset(name: str) -> Markup:
    """A file of our own that goes into the page as it stands; nothing of a user's is in it."""
    text = resources.files("medswin.review").joinpath("templates", name).read_text(encoding="utf-8")
    # Browsers turn CRLF into LF before they hash a script.
    return Markup(text.replace("\r\n", "\n"))


def _policy(style: str, scripts: Sequence[str]) -> str:
    """Nothing may be loaded; of scripts and styles only these run, told by their hash."""
    return (
        f"default-src 'none'; style-src {_hash(style)}; script-src {' '.join(map(_hash, scripts))}; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
