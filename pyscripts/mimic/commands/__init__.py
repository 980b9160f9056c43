"""The verbs of the command `mimic`: programs that a package without the recipe has, too."""
