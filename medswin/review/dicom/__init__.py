"""DICOM objects of a case: segmentation, measurements, key images, report and contours, in the study of its scan.

Every object names the slices that the case was made of, says in its first words that it is for research only, and is
read again after it was written. The patient's identity is copied from the scan into the object, because both belong to
one study, and goes nowhere else: not into names of files, errors or logs.
"""
