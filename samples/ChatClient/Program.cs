// The same model behind Microsoft.Extensions.AI. Usage: dotnet run -- path/to/model.gguf
using Microsoft.Extensions.AI;
using Slipstream;

using IChatClient client = new SlipstreamChatClient(LanguageModel.Load(args[0], new ModelOptions { Drafter = new DrafterOptions.PromptLookup() }), ownsModel: true);
List<ChatMessage> conversation = [];
while (true)
{
    Console.Write("> ");
    if (Console.ReadLine() is not { Length: > 0 } question) return;
    conversation.Add(new ChatMessage(ChatRole.User, question));
    List<ChatResponseUpdate> updates = [];
    await foreach (ChatResponseUpdate update in client.GetStreamingResponseAsync(conversation))
    {
        Console.Write(update.Text);
        updates.Add(update);
    }
    Console.WriteLine();
    conversation.AddMessages(updates);
}
