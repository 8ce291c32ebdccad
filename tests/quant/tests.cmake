duan_test(quant/observer_test.cpp DEPENDS duan::quant)
duan_test(quant/rounding_reference_test.cpp DEPENDS duan::quant duan::checkpoint)
duan_test(quant/rounding_test.cpp DEPENDS duan::quant)
duan_test(quant/smoothing_test.cpp DEPENDS duan::quant)
