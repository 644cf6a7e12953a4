"""Finds mistakes in the labels of a CVAT task."""

import os

# Read by Arrow when it is first imported: the Parquet reader and writer take their memory from its own pool, whatever
# pyarrow is told later, and that pool keeps tens of megabytes of what was freed.
os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
