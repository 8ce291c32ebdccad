# tokenizer
duan_test(text/tokenizer_test.cpp DEPENDS duan::text)
duan_test(text/tokenizer_malformed_test.cpp DEPENDS duan::text)
duan_test(text/tokenizer_property_test.cpp DEPENDS duan::text PkgConfig::UTF8PROC)

# chat template
duan_test(text/chat_samples_test.cpp DEPENDS duan::text)
duan_test(text/chat_template_test.cpp DEPENDS duan::text)
duan_test(text/jinja_golden_test.cpp DEPENDS duan::text)
duan_test(text/jinja_malformed_test.cpp DEPENDS duan::text)
duan_test(text/ocr_cases_test.cpp DEPENDS duan::text)
duan_test(text/thinking_test.cpp DEPENDS duan::text)
