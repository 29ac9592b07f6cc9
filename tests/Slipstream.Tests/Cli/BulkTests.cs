using Slipstream.Cli;
using Slipstream.Cli.Commands;
using Slipstream.Cli.Options;
using Slipstream.Tests.Checkpoints;

namespace Slipstream.Tests.Cli;

public sealed class BulkTests
{
    [Theory]
    [InlineData("", "the line is empty; it must be a JSON object.")]
    [InlineData("[1]", "the line is no JSON object.")]
    [InlineData("{\"prompt\": 1}", "prompt must be a text.")]
    [InlineData("{}", "the line has no prompt; give one of prompt, chat and prompt_tokens.")]
    [InlineData("{\"prompt\": \"a\", \"chat\": \"b\"}", "'prompt' and 'chat' cannot be used together; give one of them.")]
    [InlineData("{\"prompt\": \"a\", \"system\": \"b\"}", "'system' needs 'chat'.")]
    [InlineData("{\"prompt_tokens\": []}", "prompt_tokens must be a list of at least one token id.")]
    [InlineData("{\"prompt_tokens\": [1, -2]}", "prompt_tokens is [1, -2]; it must be a list of token ids from 0 on.")]
    [InlineData("{\"chat\": [{\"role\": \"king\", \"content\": \"a\"}]}", "the role of a message must be system, user or assistant.")]
    [InlineData("{\"chat\": [{\"role\": \"user\"}]}", "a message of chat has no content.")]
    [InlineData("{\"prompt\": \"a\", \"top_p\": 2}", "top_p is 2; it must be over 0 and at most 1.")]
    public void A_wrong_line_is_named(string line, string sentence)
        => Assert.Equal($"'p.jsonl' line 2: {sentence}", Assert.Throws<UsageException>(() => BulkJob.Read("p.jsonl", "{\"prompt\": \"a\"}\n" + line + "\n{}", new RequestSettings())).Message);

    [Theory]
    [InlineData("{\"prompt\": \"a\", \"best_of\": 2}", "the field 'best_of' is not known; known are prompt, chat, system, prompt_tokens, max_tokens, ")]
    [InlineData("{\"prompt\": \"a\", \"prompt\": \"b\"}", "the line is no JSON object (")]
    [InlineData("{\"prompt\": ", "the line is no JSON object (")]
    public void A_wrong_line_is_explained(string line, string beginning)
        => Assert.StartsWith($"'p.jsonl' line 1: {beginning}", Assert.Throws<UsageException>(() => BulkJob.Read("p.jsonl", line, new RequestSettings())).Message, StringComparison.Ordinal);

    [Fact]
    public void The_end_of_the_file_is_no_line()
    {
        Assert.Equal([1, 2], BulkJob.Read("p", "{\"prompt\": \"a\"}\r\n{\"chat\": \"b\", \"system\": \"\"}\n", new RequestSettings()).Requests.Select(request => request.Line));
        Assert.Empty(BulkJob.Read("p", "", new RequestSettings()).Requests);
    }

    [Fact]
    public void An_interrupted_output_is_taken_up_at_every_byte()
    {
        using TempFolder folder = new();
        string[] fingerprints = ["aa", "bb", "cc"];
        string[] lines = [.. fingerprints.Select((fingerprint, i) => $"{{\"prompt_tokens\":[{i}],\"text\":\"é{i}\",\"request\":\"{fingerprint}\"}}")];
        byte[] whole = System.Text.Encoding.UTF8.GetBytes(string.Join('\n', lines) + "\n");
        for (int length = 0; length <= whole.Length; length++)
        {
            string path = folder.Write("out.jsonl", whole.AsSpan(0, length));
            using (BulkOutput output = BulkOutput.Open(path))
            {
                int resumed = output.Resume(fingerprints);
                Assert.Equal(whole.AsSpan(0, length).Count((byte)'\n'), resumed);
                foreach (string line in lines[resumed..]) output.Append(line);
            }
            Assert.Equal(whole, File.ReadAllBytes(path));
        }
    }

    [Theory]
    [InlineData("{\"prompt_tokens\":[1],\"request\":\"bb\"}\n", "line 1 is no result of request 1 with this model and these options; delete the file, or name another --output.")]
    [InlineData("hello\n", "line 1 is no result of request 1 with this model and these options; delete the file, or name another --output.")]
    [InlineData("hello", "is no file of results; delete it, or name another --output.")]
    [InlineData("{\"request\":\"aa\"}\n{\"request\":\"aa\"}\n", "has more results than there are requests (1); delete it, or name another --output.")]
    public void Another_file_is_left_alone(string content, string sentence)
    {
        using TempFolder folder = new();
        string path = folder.Write("out.jsonl", content);
        using (BulkOutput output = BulkOutput.Open(path))
            Assert.Equal($"'{path}' {sentence}", Assert.Throws<SlipstreamException>(() => output.Resume(["aa"])).Message);
        Assert.Equal(content, File.ReadAllText(path));
    }
}
