# tokenizer

# chat template
