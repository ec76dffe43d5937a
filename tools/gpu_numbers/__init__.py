"""What edgefuse measures on a GPU, beside what one would use instead: `python tools/gpu_numbers`."""
