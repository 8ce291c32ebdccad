# tokenizer
duan_test(text/tokenizer_test.cpp DEPENDS duan::text)
duan_test(text/tokenizer_malformed_test.cpp DEPENDS duan::text)
duan_test(text/tokenizer_property_test.cpp DEPENDS duan::text PkgConfig::UTF8PROC)

# chat template
