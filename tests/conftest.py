"""Settings for all tests."""

import torch

# The networks of the tests are small: two threads on shared cores take longer than one.
torch.set_num_threads(1)
