"""What heads and MLPs do: activations exchanged, circuits compared."""
