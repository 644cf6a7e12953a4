"""The same model for ``cvat-cli``, without Nuclio: it runs on this machine and draws into a task.

    cvat-cli --server-host HOST task auto-annotate 42 --function-file serverless/yolo/cvat_function.py \
        -p model=str:yolo11n --conf-threshold 0.4 --allow-unmatched-labels

``cvat-cli`` sends everything at the end and adds it again when run again; ``cvat-audit prelabel`` does neither.
"""

from audit.adapters.cvat.auto_annotation import create

__all__ = ["create"]
