"""A small CVAT export of real photographs in which known mistakes are planted, and a judge of what was found.

The photographs come with packages that are installed anyway (ultralytics, scikit-image, scikit-learn);
nothing is downloaded and none of them is part of this project. ``python -m audit.demo --help``.
"""
