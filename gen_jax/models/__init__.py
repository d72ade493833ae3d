"""Networks: pure linen modules that know no objective, one architecture a file."""
