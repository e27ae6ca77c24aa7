"""What makes networks learn: initial states, gradients, plasticity, evolution."""
