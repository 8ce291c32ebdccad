// duan chat: a conversation, typed or piped in.
#include <fmt/format.h>
#include <unistd.h>

#include <optional>

#include "base/error.h"
#include "cli/commands.h"
#include "cli/conversation.h"
#include "cli/image_prompt.h"
#include "cli/line_editor.h"
#include "cli/lines.h"
#include "cli/responder.h"
#include "cli/terminal.h"
#include "engine/memory.h"
#include "vision/decode.h"

namespace duan::cli {
namespace {

constexpr std::string_view kHelp =
    "  /clear          forget the conversation, keep the system message\n"
    "  /system TEXT    set the system message; without TEXT remove it\n"
    "  /think on|off   let the model think before it answers, or not\n"
    "  /image FILE     show the model a picture with your next message\n"
    "  /retry          answer the last message again\n"
    "  /save FILE      write the conversation as JSON\n"
    "  /load FILE      read one\n"
    "  /stats          speed, memory and how full the context is\n"
    "  /exit           leave; also /quit, /bye, Ctrl-D\n"
    "  \"\"\"             begins and ends a text of several lines (Alt-Enter is a newline, too)\n"
    "Ctrl-C stops an answer. A line that begins with // is sent with one /.\n";

// Where the user's lines come from: the editor on a terminal, else plain lines without prompts.
class Input {
 public:
  Input() : history_(is_terminal(STDIN_FILENO) ? history_file() : "") {
    const int output = ::isatty(STDOUT_FILENO) != 0 ? STDOUT_FILENO : STDERR_FILENO;
    if (is_terminal(STDIN_FILENO) && ::isatty(output) != 0) editor_.emplace(STDIN_FILENO, output, history_);
  }

  bool edited() const { return editor_.has_value(); }

  LineEditor::Line read() {
    LineEditor::Line line = read_one("> ");
    if (line.result != LineEditor::Result::line || !line.text.starts_with(kQuotes)) return remember(line);
    // From """ to """, over as many lines as it takes.
    line.text.erase(0, kQuotes.size());
    while (!line.text.ends_with(kQuotes)) {
      LineEditor::Line more = read_one(". ");
      if (more.result == LineEditor::Result::interrupt) return more;
      if (more.result == LineEditor::Result::end) return remember(line);
      line.text += "\n" + more.text;
    }
    line.text.erase(line.text.size() - kQuotes.size());
    return remember(line);
  }

 private:
  static constexpr std::string_view kQuotes = "\"\"\"";

  LineEditor::Line read_one(const char* prompt) {
    if (editor_) return editor_->read(prompt);
    if (::isatty(STDIN_FILENO) != 0) fmt::print(stderr, "{}", prompt);  // a terminal that cannot move its cursor
    LineEditor::Line line{LineEditor::Result::line, ""};
    if (!read_line(line.text)) line.result = LineEditor::Result::end;
    if (line.text.ends_with('\r')) line.text.pop_back();
    return line;
  }

  LineEditor::Line remember(const LineEditor::Line& line) {
    if (editor_ && line.result == LineEditor::Result::line && !line.text.empty()) history_.add(line.text);
    return line;
  }

  History history_;
  std::optional<LineEditor> editor_;
};

class Chat {
 public:
  Chat(Responder& responder, const GenerationFlags& flags, bool edited)
      : responder_(responder), flags_(flags), edited_(edited) {
    conversation_.set_system(flags.system);
    attached_ = pictures_of(flags.images);
  }

  // False if the user wants to leave. Errors go to the caller with the conversation as it was.
  bool line(std::string text) {
    if (text.starts_with("//")) {
      text.erase(0, 1);
    } else if (const auto command = command_in(text)) {
      return obey(*command, text.substr(std::min(text.size(), command->size() + 1)));
    }
    if (text.find_first_not_of(" \t\n") == std::string::npos) return true;
    say(content_with(attached_, text));
    attached_.clear();
    return true;
  }

 private:
  // "/word" at the beginning, by itself or before a space: a path like /etc/hosts is no command.
  static std::optional<std::string> command_in(const std::string& text) {
    const size_t end = std::min(text.find_first_of(" \t\n"), text.size());
    const std::string word = text.substr(0, end);
    if (word.size() < 2 || word[0] != '/' || word.find_first_not_of("abcdefghijklmnopqrstuvwxyz", 1) != word.npos) {
      return std::nullopt;
    }
    return word;
  }

  bool obey(const std::string& command, const std::string& argument) {
    const auto needs_file = [&] {
      if (argument.empty()) throw Error("needs the name of a file", command);
      return argument;
    };
    if (command == "/exit" || command == "/quit" || command == "/bye") return false;
    if (command == "/help") {
      print_now(kHelp);
    } else if (command == "/clear") {
      conversation_.clear();
      note("the conversation is forgotten");
    } else if (command == "/system") {
      conversation_.set_system(argument);
      note(argument.empty() ? "there is no system message now" : "the system message is set");
    } else if (command == "/think") {
      if (argument != "on" && argument != "off" && argument != "auto") throw Error("takes on, off or auto", command);
      responder_.set_think(argument);
      flags_.think = argument;
    } else if (command == "/save") {
      conversation_.save(needs_file());
      note(fmt::format("saved {} messages", conversation_.messages().size()));
    } else if (command == "/load") {
      conversation_.load(needs_file());
      note(fmt::format("loaded {} messages", conversation_.messages().size()));
    } else if (command == "/image") {
      attach(needs_file());
    } else if (command == "/retry") {
      const Json again = conversation_.take_last_turn();
      const Json content = again.is_null() ? unanswered_ : again;
      if (content.is_null()) throw Error("there is no message to answer yet", command);
      say(content);
    } else if (command == "/stats") {
      fmt::print(stderr, "context  {} of {} tokens\n", responder_.engine().position(), responder_.engine().context());
      if (last_) print_stats(*last_, responder_);
    } else {
      throw Error("no such command", command, "/help lists them; a line that begins with // is sent with one /");
    }
    return true;
  }

  // To the next message. A picture that cannot be read is refused here, not with the message.
  void attach(const std::string& file) {
    const vision::ImageInfo info = vision::read_image_info(file);
    attached_.push_back({false, {file}});
    note(fmt::format("{} x {} pixels, goes with your next message", info.size.width, info.size.height));
  }

  void say(const Json& content) {
    const Conversation before = conversation_;
    conversation_.add_user(content);
    unanswered_ = content;
    AnswerPrinter printer(AnswerPrinter::style_for_stdout(flags_.think == "on"));
    responder_.set_seed_offset(turns_++);
    try {
      Interruptible interruptible;
      last_ = responder_.answer(
          conversation_.messages(), [&](Part part, std::string_view piece) { print_now(printer.piece(part, piece)); },
          &interrupted());
    } catch (const Error&) {
      conversation_ = before;
      throw;
    }
    print_now(printer.finish());
    if (last_->content.empty() && last_->finish == engine::Finish::cancelled) {
      conversation_ = before;  // nothing was said; /retry asks again
    } else {
      conversation_.add_assistant(last_->content);
    }
    if (last_->finish == engine::Finish::cancelled) note("stopped; /retry answers again");
    if (last_->finish == engine::Finish::context) {
      fmt::print(stderr, "[the context of {} tokens is full: /clear starts anew, duan chat -c N makes it larger]\n",
                 responder_.engine().context());
    }
    if (flags_.stats) print_stats(*last_, responder_);
  }

  // For the person at the terminal; a pipe holds the answers alone.
  void note(const std::string& text) const {
    if (edited_) fmt::print(stderr, "[{}]\n", text);
  }

  Responder& responder_;
  GenerationFlags flags_;
  Conversation conversation_;
  std::optional<Answer> last_;
  std::vector<Picture> attached_;  // to the next message
  Json unanswered_;                // the last message, also if its answer was not kept
  uint64_t turns_ = 0;
  bool edited_;
};

struct ChatOptions {
  ModelOptions model;
  GenerationFlags generation;
};

void chat(const ChatOptions& options) {
  Responder responder(options.model, options.generation, Responder::Input::conversation);
  Input input;
  Chat chat(responder, options.generation, input.edited());
  if (input.edited()) fmt::print(stderr, "[{}; /help lists the commands, /exit leaves]\n", options.model.model);
  bool interrupted_before = false;
  while (true) {
    const LineEditor::Line line = input.read();
    if (line.result == LineEditor::Result::end) return;
    if (line.result == LineEditor::Result::interrupt) {
      if (!line.text.empty()) continue;
      if (interrupted_before) return;
      interrupted_before = true;
      fmt::print(stderr, "[Ctrl-C again, Ctrl-D or /exit leaves]\n");
      continue;
    }
    interrupted_before = false;
    try {
      if (!chat.line(line.text)) return;
    } catch (const Error& e) {
      if (!input.edited()) throw;  // whoever piped the lines in has to know
      fmt::print(stderr, "error: {}\n", e.what());
      if (!e.hint().empty()) fmt::print(stderr, "hint:  {}\n", e.hint());
    }
  }
}

}  // namespace

void add_chat(CLI::App& app) {
  auto options = std::make_shared<ChatOptions>();
  CLI::App* command = app.add_subcommand("chat", "Converse with a model");
  add_model_argument(*command, options->model);
  add_generation_flags(*command, options->generation);
  add_engine_options(*command, options->model);
  command->footer(
      fmt::format("Examples: duan chat demo\n"
                  "          duan chat Qwen3-1.7B --think off --system \"Answer briefly.\" -c 8192\n"
                  "          printf 'hello\\nwhat can you do?\\n' | duan chat demo\n"
                  "In the conversation:\n{}",
                  kHelp));
  command->callback([options] { chat(*options); });
}

}  // namespace duan::cli
