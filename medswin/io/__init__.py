"""Input and output: scans and label maps, data sets, model packages and case folders.

Whatever is written is written whole or not at all (`medswin.io.files`); whatever is read is checked, and what cannot
be used is answered with one `medswin.errors.InputError` or `PackageError` that names the file, the rule and the repair.
"""

from medswin.io.cases import read_case, write_case, write_volumes
from medswin.io.datasets import Dataset, read_dataset, read_unlabelled
from medswin.io.files import output_folder, read_json, replacing, replacing_folder, write_json, write_text
from medswin.io.grid import Grid
from medswin.io.layouts import Case
from medswin.io.nifti import case_name, find_scans, read_grid, read_labels, read_nifti, write_image, write_labels
from medswin.io.package import FORMAT_VERSION, Package, list_zoo, read_package, write_package, zip_package
from medswin.io.people import people
from medswin.io.scan import Scan

__all__ = [
    "FORMAT_VERSION",
    "Case",
    "Dataset",
    "Grid",
    "Package",
    "Scan",
    "case_name",
    "find_scans",
    "list_zoo",
    "output_folder",
    "people",
    "read_case",
    "read_dataset",
    "read_grid",
    "read_json",
    "read_labels",
    "read_nifti",
    "read_package",
    "read_unlabelled",
    "replacing",
    "replacing_folder",
    "write_case",
    "write_image",
    "write_json",
    "write_labels",
    "write_package",
    "write_text",
    "write_volumes",
    "zip_package",
]
