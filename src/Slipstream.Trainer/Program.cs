Console.Error.WriteLine("slipstream-train: nothing can be trained yet");
return 1;
