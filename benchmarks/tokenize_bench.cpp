// How fast a tokenizer loads and encodes: tokenize_bench <folder of the tokenizer> <text file>
#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <limits>

#include "base/error.h"
#include "base/json.h"
#include "text/tokenizer.h"

namespace {

// The best of `times` runs, in seconds of processor time: nothing here uses more than one thread.
template <typename F>
double best_of(int times, const F& f) {
  double best = std::numeric_limits<double>::infinity();
  for (int i = 0; i < times; ++i) {
    const std::clock_t begin = std::clock();
    f();
    best = std::min(best, static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC);
  }
  return best;
}

int run(const char* folder, const char* file) {
  using duan::text::Tokenizer;
  fmt::print("load     {:8.3f} s\n", best_of(3, [&] { Tokenizer::load(folder); }));
  const Tokenizer tokenizer = Tokenizer::load(folder);
  const auto report = [&](const char* name, const std::string& text) {
    std::vector<int64_t> ids;
    const double encode = best_of(3, [&] { ids = tokenizer.encode(text); });
    const double decode = best_of(3, [&] { tokenizer.decode(ids); });
    fmt::print("{:8} {:8.3f} s encode {:7.1f} MB/s, {:7.1f} MB/s decode, {} bytes, {} tokens\n", name, encode,
               static_cast<double>(text.size()) / encode / 1e6, static_cast<double>(text.size()) / decode / 1e6,
               text.size(), ids.size());
  };
  report("file", duan::read_file(file, size_t{1} << 30));

  // Single words: time should grow in proportion to their length.
  const auto repeat = [](std::string_view part, size_t bytes) {
    std::string text;
    while (text.size() < bytes) text += part;
    return text;
  };
  for (const size_t bytes : {size_t{1} << 20, size_t{2} << 20}) {
    std::string letters, chinese;
    uint64_t random = 1;
    for (size_t i = 0; letters.size() < bytes; ++i) {
      random = random * 6364136223846793005u + 1442695040888963407u;
      letters += static_cast<char>('a' + (random >> 33) % 26);
      if (chinese.size() < bytes) duan::utf8::append(chinese, 0x4E00 + static_cast<char32_t>((random >> 33) % 6000));
    }
    report("letters", letters);
    report("chinese", chinese);
    report("spaces", repeat(" ", bytes));
    report("aaaa", repeat("a", bytes));
    report("marks", repeat("\xCC\x81\xCC\xA3", bytes));
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    fmt::print(stderr, "usage: tokenize_bench <folder of the tokenizer> <text file>\n");
    return 2;
  }
  try {
    return run(argv[1], argv[2]);
  } catch (const duan::Error& e) {
    fmt::print(stderr, "error: {}\n", e.what());
    return 1;
  }
}
