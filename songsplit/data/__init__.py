"""Songs to learn from and to be judged on: finding them and reading them."""
