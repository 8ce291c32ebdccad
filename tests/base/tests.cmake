duan_test(base/base_test.cpp DEPENDS duan::base)
