"""Photographs, tfds datasets and generated pictures -> batches of patches.

Nothing is imported here: commands that paint take only ``decoding``, and the pipeline's
library takes a while to load.
"""
