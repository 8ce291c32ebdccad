// Whether a text is well-formed XML, and what it holds.
#pragma once

#include <cctype>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace duan::test {

struct XmlElement {
  std::string name, text;  // text: its own and that of elements within, entities resolved
  std::map<std::string, std::string> attributes;
  size_t depth = 0;
};

// A small part of XML: elements, attributes in double quotes, the five entities and numbers, a DOCTYPE before
// everything. `error` is what is wrong with it, and where; empty: nothing.
struct Xml {
  std::vector<XmlElement> elements;  // in the order they begin
  std::string error;

  size_t count(std::string_view name, std::string_view css_class = "") const {
    size_t found = 0;
    for (const XmlElement& element : elements) {
      const auto value = element.attributes.find("class");
      found += element.name == name &&
               (css_class.empty() || (value != element.attributes.end() && value->second == css_class));
    }
    return found;
  }
  bool has_text(std::string_view name, std::string_view text) const {
    for (const XmlElement& element : elements) {
      if (element.name == name && element.text == text) return true;
    }
    return false;
  }
};

inline Xml parse_xml(std::string_view in) {
  Xml xml;
  size_t at = 0;
  std::vector<size_t> open;
  const auto fail = [&](const std::string& what) {
    if (xml.error.empty()) xml.error = what + " at " + std::to_string(at) + ": " + std::string(in.substr(at, 40));
  };
  // Up to `end`, with entities resolved.
  const auto content_until = [&](char end) {
    std::string out;
    while (at < in.size() && in[at] != end) {
      const auto c = static_cast<unsigned char>(in[at]);
      if (c == '<') {
        fail("< in a value");
        return out;
      }
      if (c < 0x20 && c != '\n' && c != '\t' && c != '\r') fail("a control character");
      if (c != '&') {
        out += in[at++];
        continue;
      }
      bool known = false;
      for (const auto& [entity, character] : {std::pair<std::string_view, char>{"&amp;", '&'},
                                              {"&lt;", '<'},
                                              {"&gt;", '>'},
                                              {"&quot;", '"'},
                                              {"&#39;", '\''}}) {
        if (known || !in.substr(at).starts_with(entity)) continue;
        out += character;
        at += entity.size();
        known = true;
      }
      if (!known) {
        fail("an unknown entity");
        return out;
      }
    }
    return out;
  };
  const auto name = [&] {
    const size_t begin = at;
    while (at < in.size() && (std::isalnum(static_cast<unsigned char>(in[at])) || in[at] == '-' || in[at] == ':')) ++at;
    if (at == begin) fail("no name");
    return std::string(in.substr(begin, at - begin));
  };
  if (in.starts_with("<!DOCTYPE html>")) at = 15;
  while (at < in.size() && xml.error.empty()) {
    if (in[at] != '<') {
      const std::string text = content_until('<');
      const bool is_blank = text.find_first_not_of(" \n\t\r") == std::string::npos;
      if (open.empty() && !is_blank) fail("text outside of all elements");
      for (const size_t element : open) xml.elements[element].text += text;
      continue;
    }
    ++at;
    if (at < in.size() && in[at] == '/') {
      ++at;
      const std::string closed = name();
      if (open.empty() || xml.elements[open.back()].name != closed) {
        fail("closes " + closed);
        break;
      }
      open.pop_back();
      if (at >= in.size() || in[at] != '>') fail("no >");
      ++at;
      continue;
    }
    if (open.empty() && !xml.elements.empty()) fail("a second root");
    XmlElement element;
    element.name = name();
    element.depth = open.size();
    bool is_empty = false;
    while (xml.error.empty()) {
      const size_t blank = at;
      while (at < in.size() && std::isspace(static_cast<unsigned char>(in[at]))) ++at;
      if (at >= in.size()) fail("the end within a tag");
      if (at < in.size() && in[at] == '>') break;
      if (in.substr(at).starts_with("/>")) {
        is_empty = true;
        ++at;
        break;
      }
      if (at == blank) fail("no space before an attribute");
      const std::string key = name();
      if (!in.substr(at).starts_with("=\"")) fail("no =\"");
      at += 2;
      if (!element.attributes.emplace(key, content_until('"')).second) fail("an attribute twice");
      if (at >= in.size()) fail("no closing quote");
      ++at;
    }
    ++at;
    xml.elements.push_back(std::move(element));
    if (!is_empty) open.push_back(xml.elements.size() - 1);
  }
  if (xml.error.empty() && !open.empty()) xml.error = "not closed: " + xml.elements[open.back()].name;
  if (xml.error.empty() && xml.elements.empty()) xml.error = "no element";
  return xml;
}

}  // namespace duan::test
