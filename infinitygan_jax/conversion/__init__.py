"""Checkpoints of the public PyTorch code as parameters of ours."""

from infinitygan_jax.conversion.state_dict import Converted, from_state_dict

__all__ = ["Converted", "from_state_dict"]
