/* Serves predictions over TCP: one model that all threads share, one workspace for each of them.
 *
 *   server MODEL THREADS        prints the port of 127.0.0.1 that it listens on; ends on end of file at standard input
 *
 * A client sends rows of float32 (inputs numbers each) and receives outputs numbers for each, until it closes. */
#include <pynn.h>

#include <arpa/inet.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

struct worker {
  const pynn_model *model;
  pynn_workspace *workspace;
  int listener;
  float *x, *y;
  pthread_t thread;
};

/* All `size` bytes; 0 when the other side has closed. */
static int transfer(int socket, char *bytes, size_t size, int writes) {
  while (size) {
    ssize_t n = writes ? write(socket, bytes, size) : read(socket, bytes, size);
    if (n <= 0) return 0;
    bytes += n, size -= (size_t)n;
  }
  return 1;
}

static void serve(const struct worker *w, int client) {
  const pynn_array row = pynn_matrix(w->x, PYNN_FLOAT32, 1, pynn_model_inputs(w->model));
  const size_t in = (size_t)row.columns * sizeof(float), out = (size_t)pynn_model_outputs(w->model) * sizeof(float);
  while (transfer(client, (char *)w->x, in, 0)) {
    if (pynn_predict(w->model, w->workspace, &row, 0, PYNN_FLOAT32, w->y, NULL)) break;
    if (!transfer(client, (char *)w->y, out, 1)) break;
  }
  close(client);
}

static void *run(void *argument) {
  const struct worker *w = argument;
  int client;
  while ((client = accept(w->listener, NULL, NULL)) >= 0) serve(w, client);
  return NULL; /* the listener was shut down */
}

static int start(struct worker *w, const pynn_model *model, int listener) {
  w->model = model, w->listener = listener;
  w->x = malloc((size_t)pynn_model_inputs(model) * sizeof *w->x);
  w->y = malloc((size_t)pynn_model_outputs(model) * sizeof *w->y);
  return w->x && w->y && !pynn_workspace_new(&w->workspace, model) && !pthread_create(&w->thread, NULL, run, w);
}

int main(int argc, char **argv) {
  pynn_context_options options;
  pynn_context *context;
  pynn_model *model;
  pynn_error error;
  const int threads = argc == 3 ? atoi(argv[2]) : 0;
  if (threads < 1 || threads > 256) return fprintf(stderr, "server MODEL THREADS\n"), 2;
  pynn_context_options_init(&options);
  options.threads = 1; /* rows are small: threads serve clients, not tiles */
  if (pynn_context_new(&context, &options)) return 1;
  if (pynn_load(&model, context, argv[1], &error)) return fprintf(stderr, "%s\n", error.message), 1;
  if (pynn_model_dtype(model) != PYNN_FLOAT32) return fprintf(stderr, "expected a model of float32\n"), 1;

  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
  socklen_t length = sizeof address;
  const int listener = socket(AF_INET, SOCK_STREAM, 0);
  if (bind(listener, (struct sockaddr *)&address, length) || listen(listener, 64)) return perror("listen"), 1;
  getsockname(listener, (struct sockaddr *)&address, &length);
  signal(SIGPIPE, SIG_IGN); /* a client that went away is not the end */

  struct worker *workers = calloc((size_t)threads, sizeof *workers);
  for (int i = 0; i < threads; i++)
    if (!workers || !start(&workers[i], model, listener)) return fprintf(stderr, "cannot start thread %d\n", i), 1;
  printf("%d\n", ntohs(address.sin_port));
  fflush(stdout);
  while (getchar() != EOF) {
  }

  shutdown(listener, SHUT_RDWR);
  for (int i = 0; i < threads; i++) {
    pthread_join(workers[i].thread, NULL);
    pynn_workspace_free(workers[i].workspace);
    free(workers[i].x), free(workers[i].y);
  }
  close(listener);
  free(workers);
  pynn_model_free(model);
  pynn_context_free(context);
  return 0;
}
