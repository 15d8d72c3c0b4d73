"""Which network a run trains."""

from infinitygan_jax.config import Config
from infinitygan_jax.training.detail_task import DetailTask
from infinitygan_jax.training.generator_task import GeneratorTask
from infinitygan_jax.training.task import Task


def task_of(config: Config) -> Task:
    """The task that ``train.network`` names."""
    if config.train.network == "detail":
        return DetailTask(config)
    return GeneratorTask(config)
