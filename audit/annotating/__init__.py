"""Commands that draw into a task what a model sees: ``prelabel`` and ``boxes2masks``. Written against ports.

What is drawn is decided in ``audit.loop`` (pure); here it is carried out, journalled so that it can be taken back.
"""
