-- Which clients have this e-mail address? The server makes its hash.
EXEC dbo.find_client_by_email @value;
