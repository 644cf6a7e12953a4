"""What functions inside CVAT share: requests, replies, models. Knows nothing of Nuclio but its reply objects."""
