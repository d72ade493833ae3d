"""The XLA flags with which programs compile without optimisations, on a CPU."""

import importlib.metadata

FLAGS = ["--xla_backend_optimization_level=0"]
if importlib.metadata.version("jaxlib").startswith("0.10."):
    FLAGS.append("--xla_cpu_use_fusion_emitters=false")  # newer ones do not know it
