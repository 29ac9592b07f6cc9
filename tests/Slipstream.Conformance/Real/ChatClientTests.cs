using Microsoft.Extensions.AI;
using Microsoft.Extensions.DependencyInjection;
using Slipstream.TestSupport;

namespace Slipstream.Conformance.Real;

/// <summary>The model behind Microsoft.Extensions.AI and dependency injection.</summary>
public sealed class ChatClientTests
{
    [Fact]
    public async Task A_registered_client_answers_whole_and_in_pieces()
    {
        await using ServiceProvider services = new ServiceCollection().AddSlipstream(Assets.SmolLm2).BuildServiceProvider();
        IChatClient client = services.GetRequiredService<IChatClient>();
        ChatOptions options = new() { MaxOutputTokens = 20, Temperature = 0 };
        ChatResponse whole = await client.GetResponseAsync("What is the capital of France?", options);
        Assert.Contains("Paris", whole.Text, StringComparison.Ordinal);
        Assert.Equal(ChatFinishReason.Stop, whole.FinishReason);
        Assert.Equal(37, whole.Usage?.InputTokenCount);
        List<ChatResponseUpdate> pieces = [];
        await foreach (ChatResponseUpdate piece in client.GetStreamingResponseAsync("What is the capital of France?", options)) pieces.Add(piece);
        Assert.True(pieces.Count > 3);
        Assert.Equal(whole.Text, pieces.ToChatResponse().Text);
        Assert.Same(services.GetRequiredService<LanguageModel>(), client.GetService(typeof(LanguageModel)));
    }

    [Fact]
    public async Task What_the_model_cannot_take_is_refused()
    {
        using SlipstreamChatClient client = new(LanguageModel.Load(Assets.SmolLm2), ownsModel: true);
        Assert.Equal("The conversation has no messages; give at least one.", (await Assert.ThrowsAsync<SlipstreamException>(() => client.GetResponseAsync([]))).Message);
        ChatMessage image = new(ChatRole.User, [new DataContent(new byte[] { 1 }, "image/png")]);
        Assert.Equal("A chat message holds DataContent, but the model takes text alone.", (await Assert.ThrowsAsync<SlipstreamException>(() => client.GetResponseAsync([image]))).Message);
        using CancellationTokenSource cancelled = new(50);
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => client.GetResponseAsync("Write a long story.", new ChatOptions { MaxOutputTokens = 4000 }, cancelled.Token));
    }
}
