"""Tests of the functions inside CVAT and of the host that serves them."""
