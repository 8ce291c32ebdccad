duan_test(quant/smoothing_test.cpp DEPENDS duan::quant)
