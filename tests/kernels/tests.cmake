duan_test(kernels/attention_test.cpp DEPENDS duan::kernels)
duan_test(kernels/linear_test.cpp DEPENDS duan::kernels)
duan_test(kernels/rows_test.cpp DEPENDS duan::kernels)
