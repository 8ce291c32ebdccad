// Splits text into the pieces byte pair encoding works on.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace duan::text {

// The patterns a hand-written scanner knows, and GPT-2's, which is what ByteLevel means by use_regex.
extern const std::string_view kQwenPattern;    // digits one by one
extern const std::string_view kLlama3Pattern;  // the same, digits in groups of up to three
extern const std::string_view kGpt2Pattern;

using PieceSink = std::function<void(std::string_view)>;

// One step: cuts text into the matches of a pattern and what stands between them ("Isolated").
class Splitter {
 public:
  virtual ~Splitter() = default;
  // Calls `sink` for each piece, none empty, in order; together they are `text`, which must be valid UTF-8.
  // Thread-safe. Throws Error if matching costs more than any sane pattern needs.
  virtual void split(std::string_view text, const PieceSink& sink) const = 0;
};

// A splitter for a regular expression: the scanner where the pattern is one of its own, else PCRE2 with UTF and UCP.
// PCRE2 stands in for Oniguruma: syntax that means something else there is refused. Throws Error at `where`.
std::shared_ptr<const Splitter> regex_splitter(const std::string& pattern, const std::string& where);

// The same through PCRE2 whatever the pattern: the oracle for the scanner.
std::shared_ptr<const Splitter> pcre2_splitter(const std::string& pattern, const std::string& where);

// A splitter for a literal string.
std::shared_ptr<const Splitter> literal_splitter(const std::string& literal, const std::string& where);

// Applies splitters one after the other, each to the pieces of the one before.
class Pretokenizer {
 public:
  Pretokenizer() = default;  // no splitter: the text is one piece
  explicit Pretokenizer(std::vector<std::shared_ptr<const Splitter>> steps) : steps_(std::move(steps)) {}

  void split(std::string_view text, const PieceSink& sink) const;

 private:
  void split_from(size_t step, std::string_view text, const PieceSink& sink) const;

  std::vector<std::shared_ptr<const Splitter>> steps_;
};

}  // namespace duan::text
