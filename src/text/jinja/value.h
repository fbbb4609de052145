// Value: what a template computes with: Python's None, bool, int, float, str, list, tuple and dict, and Jinja's
// undefined.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/result.h"

namespace retort::text::jinja {

class Value;
struct Arguments;

/// Thrown within the interpreter and turned into an Error at its border; `offset` is a byte of the template's source.
struct TemplateError {
  std::string message;
  size_t offset = SIZE_MAX;  // unknown: the innermost expression being evaluated
};

/// How far a value reaches: what printing, comparing and ending it costs.
struct Extent {
  int depth = 0;      // lists, dicts and callables within each other
  int64_t nodes = 1;  // values, each counted as often as it is met
};

struct List {
  enum class Form : uint8_t {
    kList,
    kTuple,
    kRange,     // of range()
    kView,      // of dict.items() and the like: has a length, cannot be indexed
    kIterator,  // of map, select and the like: is used up by the first loop over it
  };
  std::vector<Value> items;
  Form form = Form::kList;
  std::string_view type = "list";  // Python's name of its type
  std::string shown;               // how a range prints
  Extent extent;

  bool concatenates() const { return form == Form::kList || form == Form::kTuple; }
  bool can_be_indexed() const { return concatenates() || form == Form::kRange; }
};

struct Text {
  std::string text;
  bool markup = false;  // markupsafe's Markup: what is added to it is HTML-escaped
};

/// In order of insertion, as Python's.
struct Dict {
  std::vector<std::pair<Value, Value>> items;
  bool name_space = false;        // made by namespace(): its attributes may be set
  bool may_be_in_itself = false;  // something that holds values was assigned to an attribute
  Extent extent;
  const Value* find(const Value& key) const;
  void set(const Value& key, Value value);
};

/// A macro, a method bound to its object, or a global function.
struct Callable {
  std::string name;
  std::function<Value(Arguments&)> call;
  Extent extent;
};

/// Copies share lists, dicts and callables, as Python's references do. Making one that nests too deeply or reaches too
/// many values throws TemplateError, so that whatever walks over values ends soon and needs little stack. Namespaces,
/// the only ones that change once made, are walked over by printing alone, which has limits of its own.
class Value {
 public:
  enum class Kind { kUndefined, kNone, kBool, kInt, kFloat, kString, kList, kDict, kCallable };

  Value() = default;  // undefined
  static Value undefined(std::string name);
  static Value none();
  Value(bool b) : data_(b) {}                       // NOLINT(google-explicit-constructor)
  Value(int64_t i) : data_(i) {}                    // NOLINT(google-explicit-constructor)
  Value(int i) : data_(static_cast<int64_t>(i)) {}  // NOLINT(google-explicit-constructor)
  Value(double d) : data_(d) {}                     // NOLINT(google-explicit-constructor)
  Value(std::string s)
      : data_(std::make_shared<const Text>(Text{std::move(s)})) {}  // NOLINT(google-explicit-constructor)
  Value(std::string_view s) : Value(std::string(s)) {}              // NOLINT(google-explicit-constructor)
  Value(const char* s) : Value(std::string(s)) {}                   // NOLINT(google-explicit-constructor)
  static Value markup(std::string s);
  static Value list(std::vector<Value> items, bool tuple = false);
  static Value sequence(std::vector<Value> items, List::Form form, std::string_view type, std::string shown = "");
  static Value dict(Dict dict = {});
  /// `held`: what the function keeps, of other values.
  static Value callable(std::string name, std::function<Value(Arguments&)> call, const Value& held = {});

  Kind kind() const { return static_cast<Kind>(data_.index()); }
  bool is_undefined() const { return kind() == Kind::kUndefined; }
  bool is_none() const { return kind() == Kind::kNone; }
  bool is_string() const { return kind() == Kind::kString; }
  bool is_markup() const { return is_string() && text().markup; }
  /// A list, or what else has items in order: see List::Form.
  bool is_list() const { return kind() == Kind::kList; }
  bool is_dict() const { return kind() == Kind::kDict; }
  bool is_callable() const { return kind() == Kind::kCallable; }
  bool is_bool() const { return kind() == Kind::kBool; }
  bool is_int() const { return kind() == Kind::kInt; }
  bool is_float() const { return kind() == Kind::kFloat; }
  bool is_number() const { return is_bool() || is_int() || is_float(); }

  bool as_bool() const { return std::get<bool>(data_); }
  int64_t as_int() const { return is_bool() ? static_cast<int64_t>(as_bool()) : std::get<int64_t>(data_); }
  double as_number() const { return is_float() ? std::get<double>(data_) : static_cast<double>(as_int()); }
  const std::string& as_string() const { return text().text; }
  List& as_list() const { return *std::get<std::shared_ptr<List>>(data_); }
  Dict& as_dict() const { return *std::get<std::shared_ptr<Dict>>(data_); }
  const std::shared_ptr<Dict>& shared_dict() const { return std::get<std::shared_ptr<Dict>>(data_); }
  const Callable& as_callable() const { return *std::get<std::shared_ptr<Callable>>(data_); }
  /// Why it cannot be used: "'x' is undefined".
  std::string undefined_message() const;
  /// The object behind a list, dict or callable, for identity.
  const void* identity() const;
  Extent extent() const;
  /// Finds it anew, from what the list or dict holds: for whoever adds to one that was just made.
  void measure() const;

  bool truthy() const;
  /// Python's type name, for messages: "str", "int", "dict".
  std::string_view type_name() const;
  /// Python's str() and repr().
  std::string str() const;
  std::string repr() const;
  /// Python's ==.
  bool equals(const Value& other) const;
  /// Python's <; throws TemplateError for kinds that do not compare.
  bool less(const Value& other) const;

 private:
  struct None {};
  struct Missing {
    std::shared_ptr<const std::string> name;
  };
  const Text& text() const { return *std::get<std::shared_ptr<const Text>>(data_); }
  std::variant<Missing, None, bool, int64_t, double, std::shared_ptr<const Text>, std::shared_ptr<List>,
               std::shared_ptr<Dict>, std::shared_ptr<Callable>>
      data_;
};

/// What a call was given.
struct Arguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;

  /// The argument at `index` or of this name, or undefined.
  Value get(size_t index, std::string_view name) const;
  /// The same with a default.
  Value get(size_t index, std::string_view name, Value fallback) const;
};

/// Python's repr of a float: the shortest digits that read back the same.
std::string format_float(double value);

/// Number of code points, and byte offset of the index-th (text.size() past the end).
int64_t code_points(std::string_view text);
size_t code_point_offset(std::string_view text, int64_t index);

}  // namespace retort::text::jinja
