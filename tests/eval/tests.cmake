duan_test(eval/compare_test.cpp DEPENDS duan::eval)
duan_test(eval/perplexity_test.cpp DEPENDS duan::eval)
