/* retort.h: run small language models from C, C++ or any language that can call C. The only stable ABI of Retort.
 *
 *   retort_model* model = retort_model_load("model.gguf");
 *   retort_session* session = retort_session_create(model, NULL);
 *   char* prompt = retort_chat_prompt(model, "[{\"role\":\"user\",\"content\":\"Hello\"}]", NULL, 1);
 *   retort_generate_text(session, prompt, NULL, on_text, NULL, NULL);
 *
 * Errors: functions that return a pointer return NULL, the others a negative number, and retort_last_error() says why.
 * Threads: a model may be used by many threads at once; a session by one at a time. retort_last_error() is per thread.
 * Ownership: what retort_x_load/create returns is freed with retort_x_free, strings with retort_string_free; freeing
 * NULL is fine. A session keeps its model alive. Texts are UTF-8.
 * Growth: structs begin with their own size, so that programs built with an older header keep working. */
#ifndef RETORT_RETORT_H
#define RETORT_RETORT_H

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define RETORT_API __attribute__((visibility("default")))
#else
#define RETORT_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

typedef struct retort_model retort_model;
typedef struct retort_session retort_session;

/* The library's version, e.g. "0.1.0". */
RETORT_API const char* retort_version(void);

/* Why this thread's last failed call failed; "" when none has. Valid until the thread's next call into the library. */
RETORT_API const char* retort_last_error(void);

/* --- Model ------------------------------------------------------------------------------------------------------ */

/* Loads a GGUF file by mapping it into memory; takes milliseconds. NULL when it is not a model that can be run. */
RETORT_API retort_model* retort_model_load(const char* path);
RETORT_API void retort_model_free(retort_model* model);

/* Number of tokens in the vocabulary. */
RETORT_API int32_t retort_vocabulary_size(const retort_model* model);
/* Positions that the model was trained for. */
RETORT_API int64_t retort_context_length(const retort_model* model);
/* 1 when the model ends its answer with this token, else 0. */
RETORT_API int retort_ends_generation(const retort_model* model, int32_t token);

enum {
  RETORT_NO_BOS = 1,     /* do not put the beginning-of-sequence token first even if the model asks for it */
  RETORT_NO_SPECIAL = 2, /* treat "<|im_end|>" and the like as plain characters: for text that users wrote */
};

/* Writes the ids of `text` (`text_bytes` of it) into `ids` and returns how many there are. When that is more than
 * `capacity`, nothing past the capacity is written: call again with more room. */
RETORT_API int64_t retort_tokenize(const retort_model* model, const char* text, size_t text_bytes, int flags,
                                   int32_t* ids, int64_t capacity);

/* The text of `num_ids` tokens, with control tokens left out. */
RETORT_API char* retort_detokenize(const retort_model* model, const int32_t* ids, int64_t num_ids);

/* The prompt that the model was trained to see for a conversation: `messages` is a JSON array in OpenAI's form,
 * `tools` one of tools, or NULL. `add_generation_prompt`: end with the beginning of the assistant's answer. NULL for a
 * base model, which has no chat template. */
RETORT_API char* retort_chat_prompt(const retort_model* model, const char* messages, const char* tools,
                                    int add_generation_prompt);

RETORT_API void retort_string_free(char* string);

/* --- Session ---------------------------------------------------------------------------------------------------- */

enum { RETORT_KV_F16 = 0, RETORT_KV_Q8_0 = 1, RETORT_KV_F32 = 2 };

typedef struct retort_session_options {
  size_t struct_bytes; /* sizeof(retort_session_options) */
  int32_t num_threads; /* 0: one per processor */
  int32_t kv_type;     /* how keys and values are kept: RETORT_KV_F16 ... */
  int64_t context;     /* positions at most; 0: 4096, or what the model was trained for when that is less */
} retort_session_options;

/* Options with their defaults, to be changed where needed. */
RETORT_API retort_session_options retort_session_defaults(void);

/* A conversation with threads and memory of its own. `options` may be NULL. */
RETORT_API retort_session* retort_session_create(retort_model* model, const retort_session_options* options);
RETORT_API void retort_session_free(retort_session* session);
/* Forgets the conversation. */
RETORT_API void retort_session_clear(retort_session* session);

/* --- Generation -------------------------------------------------------------------------------------------------- */

/* A piece of the answer: `bytes` bytes of whole UTF-8 characters, followed by a 0. Return 0 to go on, anything else to
 * stop. May not call into the same session. */
typedef int (*retort_on_text)(const char* text, size_t bytes, void* user);

typedef struct retort_generation_options {
  size_t struct_bytes;      /* sizeof(retort_generation_options) */
  int64_t max_tokens;       /* -1: until the model ends its answer or the context is full */
  float temperature;        /* 0: always the likeliest token */
  int32_t top_k;            /* 0: all */
  float top_p;              /* 1: all */
  float min_p;              /* 0: all */
  float repeat_penalty;     /* 1: none */
  float presence_penalty;   /* 0: none */
  float frequency_penalty;  /* 0: none */
  uint64_t seed;            /* the same seed gives the same text */
  const char* const* stops; /* the text ends before any of these */
  size_t num_stops;
} retort_generation_options;

RETORT_API retort_generation_options retort_generation_defaults(void);

enum { RETORT_FINISH_STOP = 0, RETORT_FINISH_LENGTH = 1, RETORT_FINISH_CANCELLED = 2 };

typedef struct retort_generation_result {
  size_t struct_bytes;       /* sizeof(retort_generation_result), set by the caller */
  int32_t finish_reason;     /* RETORT_FINISH_STOP ... */
  int64_t prompt_tokens;     /* of the whole prompt */
  int64_t reused_tokens;     /* of those, how many the session still held and did not compute again */
  int64_t completion_tokens; /* the one that ended the answer included */
  double first_token_ms;     /* from the call to the first token */
  double decode_ms;          /* from the first token to the last */
} retort_generation_result;

/* Generates behind a prompt of token ids. Give the whole conversation each time: what the session still holds of its
 * beginning is not computed again. `options`, `on_text` and `result` may be NULL. Returns 0, or -1 on an error. */
RETORT_API int retort_generate(retort_session* session, const int32_t* prompt, int64_t prompt_tokens,
                               const retort_generation_options* options, retort_on_text on_text, void* user,
                               retort_generation_result* result);

/* The same with a prompt as text, e.g. of retort_chat_prompt(); special tokens in it are parsed. */
RETORT_API int retort_generate_text(retort_session* session, const char* prompt,
                                    const retort_generation_options* options, retort_on_text on_text, void* user,
                                    retort_generation_result* result);

#ifdef __cplusplus
}
#endif

#endif /* RETORT_RETORT_H */
