"""The tasks that a model can be trained for, one line each in `TASKS`."""

from penstock.tasks.classification.task import CLASSIFICATION
from penstock.tasks.cloze.task import CLOZE
from penstock.tasks.language_model.task import LANGUAGE_MODEL
from penstock.tasks.task import Task
from penstock.tasks.translation.task import TRANSLATION

__all__ = ["TASKS", "TRANSLATION", "Task"]

TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        TRANSLATION,
        LANGUAGE_MODEL,
        CLASSIFICATION,
        CLOZE,
    )
}
