"""How each family of vision-language models is spoken to."""
