using System.Runtime.CompilerServices;
using System.Text;
using Microsoft.Extensions.AI;
using Slipstream.Sampling;
using Slipstream.Scheduling;
using AiMessage = Microsoft.Extensions.AI.ChatMessage;

namespace Slipstream;

/// <summary>A model behind <see cref="IChatClient"/>. Thread-safe, as the model is; disposing of it disposes of the model where it owns it.</summary>
/// <param name="model">The model.</param>
/// <param name="name">Its name in answers.</param>
/// <param name="defaults">Options that requests start from; null takes the model's.</param>
/// <param name="ownsModel">Whether to dispose of the model.</param>
public sealed class SlipstreamChatClient(LanguageModel model, string? name = null, GenerationOptions? defaults = null, bool ownsModel = false) : IChatClient
{
    private readonly ChatClientMetadata _metadata = new("slipstream", null, name);

    /// <inheritdoc/>
    /// <exception cref="SlipstreamException">A message or an option cannot be used.</exception>
    public async Task<ChatResponse> GetResponseAsync(IEnumerable<AiMessage> messages, ChatOptions? options = null, CancellationToken cancellationToken = default)
    {
        GenerationResult result = await model.GenerateAsync(ToPrompt(messages), ToOptions(options), cancellationToken).ConfigureAwait(false);
        return new ChatResponse(new AiMessage(ChatRole.Assistant, result.Text))
        {
            FinishReason = ToReason(result.FinishReason),
            ModelId = name,
            Usage = ToUsage(result),
        };
    }

    /// <inheritdoc/>
    /// <exception cref="SlipstreamException">A message or an option cannot be used.</exception>
    public async IAsyncEnumerable<ChatResponseUpdate> GetStreamingResponseAsync(IEnumerable<AiMessage> messages, ChatOptions? options = null, [EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        string id = Guid.NewGuid().ToString("N");
        await foreach (GenerationUpdate update in model.StreamAsync(ToPrompt(messages), ToOptions(options), cancellationToken).ConfigureAwait(false))
        {
            if (update.Text.Length > 0) yield return new ChatResponseUpdate(ChatRole.Assistant, update.Text) { MessageId = id, ResponseId = id, ModelId = name };
            if (update.Result is not { } result) continue;
            cancellationToken.ThrowIfCancellationRequested();
            yield return new ChatResponseUpdate(ChatRole.Assistant, [new UsageContent(ToUsage(result))]) { MessageId = id, ResponseId = id, ModelId = name, FinishReason = ToReason(result.FinishReason) };
        }
    }

    /// <inheritdoc/>
    public object? GetService(Type serviceType, object? serviceKey = null)
    {
        ArgumentNullException.ThrowIfNull(serviceType);
        return serviceKey is not null ? null
            : serviceType == typeof(ChatClientMetadata) ? _metadata
            : serviceType == typeof(LanguageModel) ? model
            : serviceType.IsInstanceOfType(this) ? this : null;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (ownsModel) model.Dispose();
    }

    private static Prompt ToPrompt(IEnumerable<AiMessage> messages)
    {
        List<Models.ChatMessage> turns = [];
        foreach (AiMessage message in messages)
        {
            StringBuilder text = new();
            foreach (AIContent content in message.Contents)
                text.Append(content is TextContent part ? part.Text : throw new SlipstreamException($"A chat message holds {content.GetType().Name}, but the model takes text alone."));
            turns.Add(new Models.ChatMessage(message.Role.Value, text.ToString()));
        }
        if (turns.Count == 0) throw new SlipstreamException("The conversation has no messages; give at least one.");
        return Prompt.Chat(turns);
    }

    private GenerationOptions ToOptions(ChatOptions? options)
    {
        GenerationOptions start = defaults ?? new GenerationOptions();
        if (options is null) return start;
        if (options.Tools is { Count: > 0 }) throw new SlipstreamException("The request names tools, which are not supported; remove them.");
        if (options.ResponseFormat is not null and not ChatResponseFormatText) throw new SlipstreamException("The request asks for a response format other than text, which is not supported; remove it.");
        SamplingOptions sampling = start.Sampling ?? model.Defaults.Sampling;
        return start with
        {
            MaxNewTokens = options.MaxOutputTokens ?? start.MaxNewTokens,
            Seed = options.Seed is { } seed ? unchecked((ulong)seed) : start.Seed,
            StopStrings = options.StopSequences is { } stops ? [.. stops] : start.StopStrings,
            Sampling = sampling with
            {
                Temperature = options.Temperature ?? sampling.Temperature,
                TopP = options.TopP ?? sampling.TopP,
                TopK = options.TopK ?? sampling.TopK,
                FrequencyPenalty = options.FrequencyPenalty ?? sampling.FrequencyPenalty,
                PresencePenalty = options.PresencePenalty ?? sampling.PresencePenalty,
            },
        };
    }

    private static ChatFinishReason? ToReason(FinishReason reason) => reason switch
    {
        FinishReason.Stop => ChatFinishReason.Stop,
        FinishReason.Length => ChatFinishReason.Length,
        _ => null,
    };

    private static UsageDetails ToUsage(GenerationResult result) => new()
    {
        InputTokenCount = result.PromptTokens.Count,
        OutputTokenCount = result.Tokens.Count,
        TotalTokenCount = result.PromptTokens.Count + result.Tokens.Count,
    };
}
