"""Pages in a real browser: sides, windows, answers and corrections, and nothing that leaves the page."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Callable
from importlib import resources
from itertools import permutations, product
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from nibabel.orientations import apply_orientation, inv_ornt_aff
from PIL import Image

from medswin.figures import Pose
from medswin.labels import LabelSet
from medswin.prediction import OODResult, Prediction
from medswin.review import ReviewCase, write_page
from medswin.review.safe_html import niivue
from medswin.review.volumes import significant

NAMES = LabelSet.from_names(["marker", "other"])
HOSTILE = """</script><script>document.title = "stolen"</script><img src=x onerror="document.title = 'stolen'">"""
SHA = "ab" * 32


def a_case(names: LabelSet = NAMES, name: str = "marker", **more: Any) -> ReviewCase:
    """A cube of 40 mm stored upside down, with a marker in the patient's left, anterior, superior corner."""
    labels = np.zeros((40, 40, 40), dtype=np.uint8)
    labels[2:12, 28:38, 27:37] = 1
    turned = np.ascontiguousarray(labels[::-1, :, ::-1].transpose(2, 0, 1))
    affine = np.zeros((4, 4))
    affine[2, 0], affine[0, 1], affine[1, 2], affine[3, 3] = -1, -1, 1, 1
    prediction = Prediction(name, turned, affine, names, OODResult("not checked"), provenance={"package": "cd" * 32})
    assert prediction.labels[3, 30, 30] == 1
    image = np.random.default_rng(0).normal(100, 20, labels.shape)
    return ReviewCase(prediction, image, labels_sha256=SHA, **more)


@pytest.fixture
def page(tmp_path: Path) -> Path:
    return write_page(tmp_path / "page.html", [a_case()], "Marker")


def point(seen: Any, voxel: tuple[int, int, int], plane: int = 0) -> tuple[float, float]:
    """Where on the screen a voxel (in closest RAS+ axes) of the slice that is seen lies."""
    script = """([plane, voxel]) => {
        const viewer = document.querySelector(".viewer").viewer, panel = viewer.panels[plane];
        const at = panel.canvas.getBoundingClientRect(), { frame } = panel, { across, down } = panel.plane;
        const side = (axis) => (viewer.box[axis][1] - voxel[axis] - 0.5) * viewer.data.spacing[axis] * frame.scale;
        return [at.x + frame.x + side(across), at.y + frame.y + side(down)];
    }"""
    seen.locator("canvas").first.scroll_into_view_if_needed()
    x, y = seen.evaluate(script, [plane, list(voxel)])
    return x, y


def saved(seen: Any, count: int) -> dict[str, bytes]:
    """What a click on "Save review" downloads."""
    got: list[Any] = []
    seen.on("download", lambda one: got.append(one))
    seen.get_by_role("button", name="Save review").click()
    for _ in range(50):
        if len(got) == count:
            break
        seen.wait_for_timeout(100)
    return {one.suggested_filename: Path(one.path()).read_bytes() for one in got}


def test_the_viewer_starts_without_breaking_the_policy(page: Path, visit: Callable[..., Any]) -> None:
    seen = visit(page)
    assert seen.locator("canvas").count() == 3
    assert seen.locator("html").get_attribute("data-violation") is None
    assert seen.locator("output", has_text="Axial, z = ").count() == 1


def test_the_viewer_draws_sides_where_its_letters_say(page: Path, visit: Callable[..., Any]) -> None:
    seen = visit(page)
    for plane, (right, up) in enumerate([(True, True), (True, True), (False, True)]):
        picture = Image.open(io.BytesIO(seen.locator("canvas").nth(plane).screenshot())).convert("RGB")
        pixels = np.asarray(picture).astype(int)
        marker = (pixels == NAMES.labels[0].color).all(axis=2)
        gray = (pixels.max(axis=2) == pixels.min(axis=2)) & (pixels.max(axis=2) > 20)
        rows, columns = np.nonzero(gray)
        where = np.argwhere(marker).mean(axis=0)
        assert (where[1] > np.median(columns), where[0] < np.median(rows)) == (right, up), plane


def test_a_click_places_the_crosshair_and_keys_scroll(page: Path, visit: Callable[..., Any]) -> None:
    seen = visit(page)
    seen.mouse.click(*point(seen, (30, 10, 31)))
    at = "document.querySelector('.viewer').viewer.at"
    before = seen.evaluate(at)
    assert before[:2] == [30, 10]
    seen.keyboard.press("ArrowUp")
    seen.keyboard.press("PageDown")
    assert seen.evaluate(at) == [30, 10, before[2] + 1 - 10]


def test_windows_change_what_is_seen(tmp_path: Path, visit: Callable[..., Any]) -> None:
    seen = visit(write_page(tmp_path / "page.html", [a_case(modality="CT")], "CT"))
    canvas = seen.locator("canvas").first
    soft = canvas.screenshot()
    seen.get_by_label("Window", exact=True).select_option(label="bone")
    assert seen.locator("output.window").text_content() == "-300 to 1200"
    bone = canvas.screenshot()
    brightness = [np.asarray(Image.open(io.BytesIO(one)).convert("L")).mean() for one in (soft, bone)]
    assert brightness[1] < 0.7 * brightness[0]
    seen.get_by_label("Show", exact=True).select_option("fill")
    assert canvas.screenshot() != bone


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (390, 844)])
def test_nothing_reaches_beyond_the_screen(page: Path, visit: Callable[..., Any], width: int, height: int) -> None:
    seen = visit(page, width, height)
    assert seen.evaluate("document.documentElement.scrollWidth") <= width


def test_without_script_the_page_is_complete(page: Path, visit: Callable[..., Any]) -> None:
    seen = visit(page, java_script_enabled=False)
    assert not seen.locator(".viewer").is_visible()
    assert not seen.locator(".answers").is_visible()
    assert seen.locator(".figures img").first.is_visible()
    assert seen.get_by_text("This is not a pass.").is_visible()


def test_hostile_names_stay_text(tmp_path: Path, visit: Callable[..., Any]) -> None:
    names = LabelSet.from_names([HOSTILE, "other"])
    seen = visit(write_page(tmp_path / "page.html", [a_case(names, HOSTILE)], HOSTILE))
    assert seen.title() == HOSTILE
    assert seen.locator("img[src=x]").count() == 0
    assert seen.locator(".answers tr[data-value='1'] th").text_content().startswith(HOSTILE)


def test_an_answer_is_saved_when_each_structure_has_one(page: Path, visit: Callable[..., Any]) -> None:
    seen = visit(page)
    seen.get_by_role("button", name="Save review").click()
    assert seen.locator(".told").text_content() == "Not saved: 2 without an answer."
    row = seen.locator("tr[data-value='1']")
    row.get_by_label("reject").check()
    row.locator("select").select_option("leak")
    row.locator("textarea").fill(" too large ")
    seen.get_by_label("Reviewer").fill("r7")
    seen.get_by_role("button", name="Accept the rest").click()
    files = saved(seen, 1)
    review = json.loads(files.pop("marker_review.json"))
    assert files == {}
    assert review["answers"] == [
        {"value": 1, "answer": "reject", "reason": "leak", "text": "too large"},
        {"value": 2, "answer": "accept", "reason": "", "text": ""},
    ]
    told = {key: review[key] for key in ("review_version", "case", "reviewer", "labels_sha256", "package", "edited")}
    version, edited = told.pop("review_version"), told.pop("edited")
    assert (version, edited) == (1, None)
    assert told == {"case": "marker", "reviewer": "r7", "labels_sha256": SHA, "package": "cd" * 32}
    assert review["shape"] == [40, 40, 40]
    assert np.array_equal(review["affine"], a_case().prediction.affine)
    assert seen.locator(".told").text_content() == "Saved marker_review.json to your downloads."


def test_what_an_answer_leaves_open_is_said(page: Path, visit: Callable[..., Any]) -> None:
    seen = visit(page)
    seen.locator("tr[data-value='1']").get_by_label("reject").check()
    seen.get_by_role("button", name="Accept the rest").click()
    assert json.loads(saved(seen, 1)["marker_review.json"])["reviewer"] == ""
    said = "No reviewer is named. A structure was rejected without a reason."
    assert seen.locator(".told").text_content() == f"Saved marker_review.json to your downloads. {said}"


def test_what_a_browser_saves_is_called_as_the_page_says(tmp_path: Path, visit: Callable[..., Any]) -> None:
    """Browsers put other signs in place of those that some system refuses."""
    name = "a:b<1>|?*" + '"' + "x." * 60
    seen = visit(write_page(tmp_path / "page.html", [a_case(name=name)], "Odd"))
    seen.get_by_role("button", name="Accept the rest").click()
    (file,) = saved(seen, 1)
    assert file in seen.locator(".told").text_content()
    assert json.loads(saved(seen, 1)[file])["case"] == name


@pytest.mark.parametrize("value", [0, 9.996, 0.09996, 99.95, 999.6, 1.005, 2.125, 2.345, 0.00012345, 123456.7, 8.9e-7])
def test_figures_are_rounded_as_the_report_rounds_them(page: Path, visit: Callable[..., Any], value: float) -> None:
    script = (resources.files("medswin.review") / "templates" / "parts.js").read_text(encoding="utf-8")
    function = script[script.index("function significant") :]
    assert visit(page).evaluate(f"() => {{ {function}; return significant({value!r}); }}") == significant(value)


def test_to_edit_is_to_correct(page: Path, visit: Callable[..., Any]) -> None:
    seen = visit(page)
    seen.locator("tr[data-value='1']").get_by_label("edit").check()
    seen.get_by_role("button", name="Accept the rest").click()
    seen.get_by_role("button", name="Save review").click()
    assert "nothing was corrected" in seen.locator(".told").text_content()


def test_a_corrected_outline_comes_back_on_the_scans_own_grid(page: Path, visit: Callable[..., Any]) -> None:
    """One dab of 1.2 mm radius in one slice is a cross of five voxels; they are painted as the second structure."""
    seen, case = visit(page), a_case()
    seen.mouse.click(*point(seen, (30, 10, 31)))
    slice_z = seen.evaluate("document.querySelector('.viewer').viewer.at[2]")
    seen.get_by_role("button", name="Correct outlines").click()
    seen.get_by_label("Structure", exact=True).select_option(label="other")
    seen.evaluate("document.querySelector('.viewer').viewer.editor.radius = 1.2")
    seen.mouse.click(*point(seen, (30, 10, slice_z)))
    assert seen.locator("tr[data-value='2']").get_by_label("edit").is_checked()
    assert seen.locator("tr[data-value='2'] .edited").text_content() == "corrected: 0.00500 ml"
    seen.get_by_role("button", name="Accept the rest").click()
    files = saved(seen, 2)
    review = json.loads(files["marker_review.json"])
    assert review["edited"] == {"file": "marker_edited.nii.gz", "voxels_changed": 5}
    mask = nibabel.Nifti1Image.from_bytes(gzip.decompress(files["marker_edited.nii.gz"]))
    assert np.allclose(mask.affine, case.prediction.affine)
    found = np.asanyarray(mask.dataobj)
    pose = Pose.of(found.shape, case.prediction.affine)
    expected = pose.turn(case.prediction.labels).copy()
    for x, y in ((30, 10), (29, 10), (31, 10), (30, 9), (30, 11)):
        expected[x, y, slice_z] = 2
    assert np.array_equal(pose.turn(found), expected)


def test_what_is_undone_was_not_done(page: Path, visit: Callable[..., Any]) -> None:
    seen = visit(page)
    seen.get_by_role("button", name="Correct outlines").click()
    x, y = point(seen, (5, 30, 31))
    seen.mouse.move(x, y)
    seen.mouse.down()
    seen.mouse.move(x - 40, y + 30)
    seen.mouse.up()
    total = "document.querySelector('.viewer').viewer.editor.total"
    assert seen.evaluate(total) > 0
    assert seen.locator("tr[data-value='1']").get_by_label("edit").is_checked()
    seen.get_by_role("button", name="Undo").click()
    assert seen.evaluate(total) == 0
    assert seen.locator("tr input:checked").count() == 0


def test_label_maps_are_written_right_for_all_ways_to_store_a_scan(page: Path, visit: Callable[..., Any]) -> None:
    code = resources.files("medswin.review").joinpath("templates", "nifti.js").read_text(encoding="utf-8")
    seen = visit(page)
    labels = np.random.default_rng(0).integers(0, 3, (3, 4, 5), dtype=np.uint8)
    affine = np.array([[0.5, 0.1, 0, -10], [-0.1, 1.0, 0.2, 4], [0, -0.3, 3.0, 2.5], [0, 0, 0, 1]])
    for order, flips in product(permutations(range(3)), product((1, -1), repeat=3)):
        orientation = np.column_stack([order, flips])
        stored, own = apply_orientation(labels, orientation), affine @ inv_ornt_aff(orientation, labels.shape)
        pose = Pose.of(stored.shape, own)
        told = {
            "axes": pose.orientation[:, 0].astype(int).tolist(),
            "signs": pose.orientation[:, 1].astype(int).tolist(),
            "affine": own.tolist(),
            "known": True,
        }
        turned = pose.turn(stored)
        made = seen.evaluate(
            f"([turned, shape, grid]) => {{ {code}; return [...nifti(Uint8Array.from(turned), shape, grid)]; }}",
            [turned.ravel(order="F").tolist(), list(turned.shape), told],
        )
        read = nibabel.Nifti1Image.from_bytes(bytes(made))
        assert np.array_equal(np.asanyarray(read.dataobj), stored)
        assert np.allclose(read.affine, own, atol=1e-5)
        assert read.header.get_xyzt_units()[0] == "mm"


@pytest.mark.skipif(not niivue(), reason="needs NiiVue: make viewer")
def test_the_3d_view_opens_on_a_click_and_asks_for_nothing(page: Path, visit: Callable[..., Any]) -> None:
    seen = visit(page)
    assert seen.locator(".volume3d canvas").count() == 0
    seen.get_by_role("button", name="3D view").click()
    seen.wait_for_selector(".volume3d[data-ready=true]", timeout=60000)
    assert seen.locator("html").get_attribute("data-violation") is None
    pixels = np.asarray(Image.open(io.BytesIO(seen.locator(".volume3d").screenshot())).convert("RGB")).astype(int)
    orange = (pixels[..., 0] > pixels[..., 2] + 60).mean()
    assert orange > 0.002  # the marker, in its colour
    seen.get_by_role("button", name="Close 3D view").click()
    assert not seen.locator(".volume3d").is_visible()


def test_without_niivue_the_page_says_so(
    tmp_path: Path, visit: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("medswin.review.page.niivue", list)
    seen = visit(write_page(tmp_path / "page.html", [a_case()], "Marker"))
    assert seen.get_by_text("No 3D view: this page was built without NiiVue").is_visible()


def test_a_reject_stays_one_whatever_is_painted_over_it(page: Path, visit: Callable[..., Any]) -> None:
    """The marker is rejected, then painted over by the other structure."""
    seen = visit(page)
    row = seen.locator("tr[data-value='1']")
    row.get_by_label("reject").check()
    seen.get_by_role("button", name="Correct outlines").click()
    seen.get_by_label("Structure", exact=True).select_option(label="other")
    slice_z = seen.evaluate("document.querySelector('.viewer').viewer.at[2]")
    seen.mouse.click(*point(seen, (6, 32, slice_z)))
    assert row.get_by_label("reject").is_checked()
    assert seen.locator("tr[data-value='2']").get_by_label("edit").is_checked()
    seen.locator("tr[data-value='2']").get_by_label("reject").check()
    seen.get_by_role("button", name="Save review").click()
    assert "rejected, but its outline was corrected" in seen.locator(".told").text_content()


def test_a_stroke_beside_the_picture_paints_nothing(page: Path, visit: Callable[..., Any]) -> None:
    seen = visit(page)
    seen.get_by_role("button", name="Correct outlines").click()
    x, y = point(seen, (39, 39, 31))
    seen.mouse.click(x - 15, y - 15)
    assert seen.evaluate("document.querySelector('.viewer').viewer.editor.total") == 0


def test_a_mask_that_cannot_be_made_is_told_and_nothing_is_saved(page: Path, visit: Callable[..., Any]) -> None:
    seen, got = visit(page), []
    seen.on("download", lambda one: got.append(one))
    seen.get_by_role("button", name="Correct outlines").click()
    seen.mouse.click(*point(seen, (20, 20, seen.evaluate("document.querySelector('.viewer').viewer.at[2]"))))
    seen.get_by_role("button", name="Accept the rest").click()
    seen.evaluate("() => { window.CompressionStream = function () { throw new Error('no memory'); }; }")
    seen.get_by_role("button", name="Save review").click()
    seen.wait_for_timeout(500)
    assert (seen.locator(".told").text_content(), got) == ("Not saved: no memory.", [])
