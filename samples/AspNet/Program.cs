// A streaming endpoint. Usage: dotnet run -- --Model path/to/model.gguf; then curl 'http://localhost:5000/ask?question=Hello'
using Microsoft.Extensions.AI;
using Slipstream;

WebApplicationBuilder builder = WebApplication.CreateBuilder(args);
builder.Services.AddSlipstream(builder.Configuration["Model"] ?? throw new InvalidOperationException("Name a model with --Model."));
WebApplication app = builder.Build();
app.MapGet("/ask", (string question, IChatClient client, HttpResponse response, CancellationToken cancelled) =>
    Stream(client.GetStreamingResponseAsync(question, cancellationToken: cancelled), response, cancelled));
await app.RunAsync();

static async Task Stream(IAsyncEnumerable<ChatResponseUpdate> updates, HttpResponse response, CancellationToken cancelled)
{
    response.ContentType = "text/plain; charset=utf-8";
    await foreach (ChatResponseUpdate update in updates.WithCancellation(cancelled))
    {
        await response.WriteAsync(update.Text, cancelled);
        await response.Body.FlushAsync(cancelled);
    }
}
