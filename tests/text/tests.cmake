# tokenizer
duan_test(text/tokenizer_test.cpp DEPENDS duan::text)

# chat template
