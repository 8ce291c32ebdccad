// The texts and pictures a model is run on to see its activations.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/json.h"
#include "engine/sequence_images.h"

namespace duan::quant {

struct CalibrationOptions {
  std::vector<std::filesystem::path> files;
  int64_t samples = 128;  // at most; chosen by the seed
  int64_t tokens = 256;   // of a sample, at most
  uint64_t seed = 0;
};

struct CalibrationPicture {
  std::filesystem::path file;
  std::string where;    // of the sample that names it first: "chats.jsonl:3"
  uint64_t digest = 0;  // of its pixels as the tower reads them
  // Its numbers are there only while blocks are worked on that read them (picture_rows.h); rows and columns always.
  std::shared_ptr<engine::ImageFeatures> features;
};

// What reads pictures: the caller's, because this folder knows no formats of pictures.
class PictureReader {
 public:
  struct Placed {
    std::filesystem::path file;
    int64_t first = 0;              // index of its first token
    int64_t rows = 0, columns = 0;  // of tokens
    uint64_t digest = 0;            // of its pixels as the tower reads them; another run gives the same
  };

  virtual ~PictureReader() = default;

  // The files of the pictures that messages name, beside `folder` if their names are relative. Throws Error at `where`:
  // content that is neither a text nor parts that are text and pictures.
  virtual std::vector<std::filesystem::path> files_of(const Json& messages, const std::filesystem::path& folder,
                                                      const std::string& where) const = 0;

  // Puts as many tokens in place of each picture's in `ids` as it has. Throws Error: the model sees no images, there
  // are more or fewer places than pictures, or one cannot be read (named).
  virtual std::vector<Placed> place(std::vector<int64_t>& ids, const std::vector<std::filesystem::path>& files) = 0;

  // Runs the vision tower. Throws Error: the file cannot be read, or is not the one that was placed.
  virtual engine::ImageFeatures encode(const CalibrationPicture& picture) = 0;
};

struct CalibrationSet {
  // Token ids, none empty; in an order that ids and pixels alone decide.
  std::vector<std::vector<int64_t>> samples;
  // By sample; nullptr: it has no picture. Empty: none has. An image may reach beyond its sample.
  std::vector<std::shared_ptr<const engine::SequenceImages>> images{};
  std::vector<CalibrationPicture> pictures{};  // of all images; equal ones once

  int64_t tokens() const;        // of all samples
  int64_t image_tokens() const;  // those that stand for pictures
  const engine::SequenceImages* images_of(size_t sample) const;
  // A number for each token, sample after sample: `image` for those that stand for pictures, 1 for all others. Empty if
  // all would be 1.
  std::vector<float> token_weights(double image) const;
  // What tells sets apart: of ids, and of pixels and where they stand. 16 hexadecimal digits.
  std::string hash() const;
};

// Some samples of a set.
struct CalibrationPart {
  CalibrationSet set;             // has the images of the samples, but no list of pictures
  std::vector<int64_t> firsts{};  // by sample: the index of its first token in the whole set
};

// Whole samples with about `tokens` tokens in all, evenly spread over the set; 0: all samples.
CalibrationPart part_of(const CalibrationSet& whole, int64_t tokens);

// A file is read by its ending:
//   .jsonl  a sample a line: {"messages": [...]} (rendered with the model's chat template, answers included; "tools"
//           are passed on), {"text": "..."}, {"input_ids": [...]}, a string, or a list of ids
//   .json   a list of such samples; or one flat list of ids, cut into pieces of `tokens`
//           or the cases of OCRBench.json (text/ocr_cases.h), as a question with its picture and the first answer
//   .txt    plain text, cut into pieces of `tokens`
//   .safetensors  token ids (token_id_file.h): a sample a row; one list is cut into pieces of `tokens`
// Samples longer than `tokens` lose their end, be it within a picture. The same samples give the same set, however
// files and lines are ordered. Pictures are named beside the file and need `reader`. Throws Error: a file that cannot
// be read or is not of these kinds, a line that is wrong (named file:line, and the picture), an id outside [0, vocab),
// or no usable sample at all (names the files).
CalibrationSet load_calibration(const CalibrationOptions& options, const std::filesystem::path& model_folder,
                                int64_t vocab, PictureReader* reader = nullptr);

}  // namespace duan::quant
