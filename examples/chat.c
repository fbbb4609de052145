/* chat.c: one answer through Retort's C API, streamed.
 *
 *   cc chat.c -lretort -o chat && ./chat model.gguf "What is gravity?" [max_tokens]
 *
 * A base model, which has no chat template, continues the text instead. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "retort/retort.h"

static int print_piece(const char* text, size_t bytes, void* user) {
  (void)user;
  fwrite(text, 1, bytes, stdout);
  fflush(stdout);
  return 0; /* go on */
}

/* `text` as a JSON string, to be freed. */
static char* json_string(const char* text) {
  char* out = malloc(6 * strlen(text) + 3);
  char* at = out;
  if (out == NULL) return NULL;
  *at++ = '"';
  for (; *text != '\0'; ++text) {
    unsigned char c = (unsigned char)*text;
    if (c == '"' || c == '\\' || c < 0x20)
      at += sprintf(at, "\\u%04x", c);
    else
      *at++ = (char)c;
  }
  *at++ = '"';
  *at = '\0';
  return out;
}

/* The question as the model was trained to see it, to be freed with retort_string_free(). */
static char* prompt_of(const retort_model* model, const char* question) {
  static const char kMessages[] = "[{\"role\":\"user\",\"content\":%s}]";
  char* content = json_string(question);
  char* prompt = NULL;
  if (content != NULL) {
    size_t bytes = sizeof(kMessages) + strlen(content);
    char* messages = malloc(bytes);
    if (messages != NULL) {
      snprintf(messages, bytes, kMessages, content);
      prompt = retort_chat_prompt(model, messages, NULL, 1);
    }
    free(messages);
  }
  free(content);
  return prompt;
}

int main(int argc, char** argv) {
  if (argc < 3) {
    fprintf(stderr, "usage: %s MODEL.gguf QUESTION [MAX_TOKENS]\n", argv[0]);
    return 2;
  }
  retort_model* model = retort_model_load(argv[1]);
  retort_session* session = model != NULL ? retort_session_create(model, NULL) : NULL;
  if (session == NULL) {
    fprintf(stderr, "%s\n", retort_last_error());
    retort_model_free(model);
    return 1;
  }
  char* prompt = prompt_of(model, argv[2]);
  retort_generation_options options = retort_generation_defaults();
  retort_generation_result result = {.struct_bytes = sizeof result};
  options.max_tokens = argc > 3 ? strtol(argv[3], NULL, 10) : 256;
  int failed =
      retort_generate_text(session, prompt != NULL ? prompt : argv[2], &options, print_piece, NULL, &result) != 0;
  if (failed)
    fprintf(stderr, "%s\n", retort_last_error());
  else
    printf("\n[%lld tokens, the first after %.0f ms]\n", (long long)result.completion_tokens, result.first_token_ms);
  retort_string_free(prompt);
  retort_session_free(session);
  retort_model_free(model);
  return failed;
}
