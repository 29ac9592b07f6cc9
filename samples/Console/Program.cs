// Tokens in three lines. Usage: dotnet run -- path/to/model.gguf "What is the capital of France?"
using Slipstream;

using LanguageModel model = LanguageModel.Load(args[0]);
await foreach (GenerationUpdate piece in model.StreamAsync(Prompt.Chat(args[1])))
    Console.Write(piece.Text);
Console.WriteLine();
