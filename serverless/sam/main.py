"""SAM inside CVAT. Nuclio starts here; the model is in ``model_handler``, which knows nothing of Nuclio."""

from model_handler import ModelHandler

from audit.serving.entry import answer


def init_context(context):
    """Loads the model, once for each worker. It must be in this module: Nuclio looks where the handler is defined."""
    context.user_data.model = ModelHandler()
    context.logger.info_with("model loaded", kind=context.user_data.model.kind, notes=context.user_data.model.notes)


def handler(context, event):
    """One request of CVAT: the whole picture and all clicks so far."""
    return answer(context, event, context.user_data.model.handle)
